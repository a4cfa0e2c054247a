"""An owner's data as a bag (BagIt, RFC 8493) that any computer opens and any server of ours imports.

The same data are the same bytes: nothing in a bag tells when, where or by whom it was made, or what had been there
before. `layout` has the names in it, `plan` makes one from the stores, `tar` and `zip` put it into an archive.
"""
