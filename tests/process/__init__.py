"""flockd as a process: started, loaded, signalled, killed, starved of disk, and started again."""
