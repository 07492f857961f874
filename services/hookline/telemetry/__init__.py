"""What Hookline tells about itself: traces and logs."""
