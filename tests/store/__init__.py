"""The store on real files in temporary folders."""
