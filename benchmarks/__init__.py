"""What figup costs, measured: time, CPU, memory and storage reads of real processes."""
