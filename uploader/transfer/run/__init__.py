"""What the parts of one run share: context, stop, progress, throttle, remote listing, account limits."""
