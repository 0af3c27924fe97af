"""The web pages Live, Drift, Quality and Stream, at the API's own address.

No request leaves this machine: plotly.js is served from the file in the Python package `plotly`. Threads gather what a
page shows, so that no request waits for a component that does not answer.

    routes, sign_in            addresses of the pages and their data; the form for a token
    stream_state, drift_state  data of the page Stream; of the pages Drift and Quality
    poller, workers, tail      polling a component; finding the stream workers; the end of the log
    rates                      rates and quantiles from counters
    words                      the words of the data set, and what scripts need to know of it
    templates/, static/        HTML; styles and scripts
"""

from api.pages.routes import add_pages

__all__ = ["add_pages"]
