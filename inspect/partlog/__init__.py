"""Every part's durable row: schema, migrations, the one writer, queries, image store and retention."""
