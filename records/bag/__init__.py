"""An owner's data as a bag (BagIt, RFC 8493) that any computer opens and any server of ours imports.

The same data are the same bytes: nothing in a bag tells when, where or by whom it was made, or what had been there
before. `layout` has the names in it; `export` plans one and sends it, `imports` checks one and loads it.
"""
