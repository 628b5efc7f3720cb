"""Facts by the million, made up column by column, and the three engines that are asked about them."""
