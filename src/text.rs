//! Small things every room that meets people's text needs: durations as people write them, lists, the nearest word.
