package supervisor

import (
	"io"
	"os"
)

// sameFile says whether what is written to a and to b goes to the same place.
func sameFile(a, b io.Writer) bool {
	fa, ok := a.(*os.File)
	fb, ok2 := b.(*os.File)
	if !ok || !ok2 {
		return false
	}
	sa, err := fa.Stat()
	sb, err2 := fb.Stat()
	return err == nil && err2 == nil && os.SameFile(sa, sb)
}

// freshLines ends what a master that was killed has perhaps not written to its end on our
// stdout and stderr, so that no line of this one is taken for the rest of it; a log file
// does that itself. In a pipe, where nobody can look, it costs a line with nothing in it.
func (l *logs) freshLines() {
	for _, s := range []*sink{l.out, l.err} {
		if f, ok := s.dest.(*os.File); ok && mayEndCut(f) {
			s.Write(newline)
		}
		if l.out == l.err {
			return
		}
	}
}

func mayEndCut(f *os.File) bool {
	info, err := f.Stat()
	switch {
	case err != nil || info.Mode()&os.ModeCharDevice != 0:
		return false
	case info.Mode().IsRegular():
		return endsCut(f.Name(), info.Size()) // /dev/stdout, and so on
	}
	return true
}
