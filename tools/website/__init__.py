"""The site: a table to look things up in, and the pages that the facts give.

``nox -s site`` builds it whole into ``build/site`` and tries it in a browser;
``python -m tools.website`` says what the parts are. ``data`` is what the table shows,
as one JSON document, ``table`` the page that shows it, ``pages`` what becomes pages
without being written by hand, ``links`` looks whether every link leads somewhere.
"""
