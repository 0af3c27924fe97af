"""Operations on a running system that need several packages.

rebuild      a new generation of the state, folded from archive and log next to the live one
switching    putting a generation live; back to the one before; dropping it
catch_up     folding the log into a generation that is not live
"""
