"""The published words: of enums, settings and relevance methods, each written once.

Parameters, checks, tags and reports are made from these tables. Words and their order are a promise to users: the
first is the default unless a table says otherwise, and a word that was published stays.
"""
