"""What `rltk audit` reads and shows; the counting is `rltk_eval.audit`."""
