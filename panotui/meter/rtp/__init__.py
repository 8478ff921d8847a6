"""The measures of RTP streams, one file per measure."""
