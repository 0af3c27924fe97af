"""Access control: tokens with scopes (`tokens`), and the hosts and sites that may send requests (`hosts`)."""
