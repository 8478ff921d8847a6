"""What a person sees of the state: panes, filters, details and exports, without a screen."""
