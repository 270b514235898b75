"""The store: tables, transactions and the queries over them. Nothing above it speaks SQL."""
