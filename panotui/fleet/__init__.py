"""Captures of many sites, analysed where a Dask worker is; a lake of Parquet and one index of it.

Three kinds of processes, so that what is Apache-2.0 alone (tornado and msgpack under Dask,
aiobotocore under s3fs, pyarrow) never meets what is GPL-2.0 alone (scapy): the driver
(`panotui fleet`), workers, and a `panotui analyze --json` that a worker starts for each capture.
Modules of this room import nothing of the program but its version, its errors, `wire/text`, names
of files (`recording/parts`), Landlock, the words of findings and the style of the report.
"""
