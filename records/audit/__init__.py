"""The audit log ("spine"): its chain, how events come to it, and who signs and checks it."""
