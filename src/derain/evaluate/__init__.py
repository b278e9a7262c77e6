"""Figures that can be trusted: metrics, the protocols under which papers print them, reports. No torch in here."""
