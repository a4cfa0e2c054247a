"""The owner's console under `/console`: pages made on the server, without a script.

Promises: nothing that was stored runs with the rights of this origin, and no page loads anything from elsewhere. Who
signs in is an owner; the token is in a cookie that no script reads and no other site sends. Every form carries a value
that only this session knows.

A page is a module here with its handlers, a template in `templates/` that extends `layout.html`, a row in the table of
`routes`, and, where it is to be found from everywhere, an entry in `navigation`.
"""
