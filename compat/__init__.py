"""Private parts of libraries that are patched or relied on, a module for each library.

Nothing else may use a name of a library that begins with an underscore, or set an attribute of a library: a test in
`tests/compat` says so. Each module names the versions that it was tested against in `TESTED`; with any other version
installed a test fails, and docs/upgrading.md says what to do then. Each patch has a test that fails when the library no
longer needs it or has changed under it.
"""
