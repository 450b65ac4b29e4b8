package proc

import (
	"fmt"
	"os"
)

// A FileID says which file or folder one is, whatever it is called, and whether it was written to since. It is kept as JSON.
type FileID struct {
	Dev, Ino uint64
	Size     int64 // bytes; 0 of a folder
	ModTime  int64 // ns since 1970; 0 of a folder
}

// Same says that both are the same file, whether it was written to or not.
func (a FileID) Same(b FileID) bool { return a.Dev == b.Dev && a.Ino == b.Ino }

// String is short, and the same for the same file.
func (a FileID) String() string { return fmt.Sprintf("%x.%x", a.Dev, a.Ino) }

// IDOf returns the ID of the file that is at path now.
func IDOf(path string) (FileID, error) {
	info, err := os.Stat(path)
	if err != nil {
		return FileID{}, err
	}
	return idOf(info), nil
}

// IDOfFile returns the ID of an open file.
func IDOfFile(f *os.File) (FileID, error) {
	info, err := f.Stat()
	if err != nil {
		return FileID{}, err
	}
	return idOf(info), nil
}

// Pinned are the files of a Command that [Start] takes whatever is at its paths by then: a program that was replaced or
// removed is started all the same, in the folder that it had. While the paths lead to them Start goes by these, for the sake
// of the name that the system shows. nil: what is at the path. The files are open as [Pin] does it; they are not closed here.
type Pinned struct{ Program, Folder *os.File }

// Drift says how what is on disk differs from what c was made of, in words that follow "its release: ", and whether that is what a
// start runs: a program that is an open file is run as it was. "": it does not differ, or it is not known what it was.
func (c Command) Drift() (text string, harmless bool) {
	if id := c.ProgramID; id != nil {
		if c.Pinned.Program != nil {
			if now, err := IDOfFile(c.Pinned.Program); err == nil && now != *id {
				return c.Path + " was written over in place: what it was is lost, and what it is now is started", false
			}
		}
		now, err := IDOf(c.Path)
		switch {
		case err == nil && now == *id:
		case c.Pinned.Program != nil && err == nil:
			return c.Path + " is another file now: the one that the release has is started", true
		case c.Pinned.Program != nil:
			return c.Path + " is gone: the file that the release has is started", true
		case err == nil && c.Script:
			return c.Path + ", a script, was changed: a script is started as it is on disk", false
		case err == nil:
			return c.Path + " is another file now, and the one that the release has is not held open: what is on disk is started", false
		}
	}
	if id := c.FolderID; id != nil && c.Pinned.Folder != nil {
		if now, err := IDOf(c.Dir); err != nil || !now.Same(*id) {
			return "its folder " + c.Dir + " was replaced or removed: it is started in what is left of that", true
		}
	}
	return "", true
}
