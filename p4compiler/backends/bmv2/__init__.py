"""IR to the JSON of BMv2 (format 2.24): `generate.generate_document` makes a `document.Document`, which serialises itself."""
