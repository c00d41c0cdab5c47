"""HTTP of a run: health, metrics, control, pictures. Needs the extra `service`; docs/http.md."""
