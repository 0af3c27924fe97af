"""The API: `POST /ml/rec`, `POST /ratings`, what is known of a user, health and metrics."""
