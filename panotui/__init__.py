"""Panotui: a network monitor in the terminal for the AWS Panorama Appliance."""

__version__ = "0.1.0"
