"""Who may ask: tokens with scopes, and the hosts and sites under which the API answers."""
