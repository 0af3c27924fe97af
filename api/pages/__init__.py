"""The pages for people: Live, Drift, Quality and Stream, on the API's own address.

Nothing comes from elsewhere: plotly.js is served from the file that the package `plotly` ships. What a page shows is
gathered by threads (`poller`), so that no request waits for a part that is away.
"""

from api.pages.routes import add_pages

__all__ = ["add_pages"]
