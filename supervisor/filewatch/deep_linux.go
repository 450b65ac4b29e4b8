package filewatch

// deepWatch: watching a folder costs nothing for the files in it, so that all folders of a path are watched.
const deepWatch = true
