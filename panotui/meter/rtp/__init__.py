"""The measures of RTP streams, a file a measure."""
