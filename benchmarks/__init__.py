"""Speed measurements that print ratios to what the machine can do."""
