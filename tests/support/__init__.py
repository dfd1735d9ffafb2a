"""What tests of every kind share: real processes, a local Figshare, the command itself, programs they need."""
