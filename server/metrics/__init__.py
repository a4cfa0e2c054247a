"""Metrics for Prometheus: what a server has done since it started, and how its store stands.

Counts of requests are kept as they end (`meters`), those of the layers below are looked up every few seconds
(`sampling`), the store is asked when somebody reads (`standing`), and not again for half a minute. Nothing here costs
more with more records or blobs. The workers of one server count together (`shared`).
"""
