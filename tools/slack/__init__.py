"""Slack: reads what people have of a workspace and hydrates it, attachments included.

`source` is the port that every form of a workspace is read through; `archive` (slackdump) and `export` (Slack's
own, with or without bytes, directory or zip) implement it. `status` decides what became of each file, `records`
shapes what is stored, `download` fetches what the source names but does not hold, `hydrate` drives it all.
"""
