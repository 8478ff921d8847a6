"""Captures of many sites, analysed on Dask workers; a lake of Parquet files and its index.

There are three kinds of processes, so that Apache-2.0-only packages (tornado and msgpack under
Dask, aiobotocore under s3fs, pyarrow) never share one with GPL-2.0-only ones (scapy): the driver
(`panotui fleet`), workers, and a `panotui analyze --json` that a worker starts for each capture.
Modules of this room import from the program only its version, its errors, `wire/text`, names of
files (`recording/parts`), Landlock, the words of findings and the style of the report.
"""
