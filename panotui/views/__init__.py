"""Views of the state: panes, filters, details and exports, without a screen."""
