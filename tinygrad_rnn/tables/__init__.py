"""How a table is written: for a page or a notebook (``html``), for a paper (``latex``), and what both do with
the user's text (``text``). Nothing here knows what the tables are about."""
