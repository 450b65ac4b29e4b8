package supervisor

import (
	"bytes"
	"io"
	"os"
)

// stream is where log lines go that go to no file of ours: our stdout, or stderr.
func stream(w io.Writer) io.Writer {
	f, ok := w.(*os.File)
	if !ok {
		return w
	}
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		return w
	}
	return pipeWriter{f}
}

// pipeBuf is PIPE_BUF of Linux; elsewhere it may be 512, and longer lines may be torn.
const pipeBuf = 4096

// pipeWriter writes whole lines to a pipe, in pieces of no more than pipeBuf where no line
// is longer. Such a piece is written as one or not at all (POSIX, write: PIPE_BUF): what
// others write into the same pipe, as a keeper does, comes between lines, and no line is
// torn by a SIGKILL.
type pipeWriter struct{ *os.File }

func (w pipeWriter) Write(lines []byte) (n int, err error) {
	for n < len(lines) && err == nil {
		piece := lines[n:]
		if len(piece) > pipeBuf {
			end := bytes.LastIndexByte(piece[:pipeBuf], '\n')
			if end < 0 { // one that is longer
				end = bytes.IndexByte(piece, '\n')
			}
			if end >= 0 {
				piece = piece[:end+1]
			}
		}
		var k int
		k, err = w.File.Write(piece)
		n += k
	}
	return n, err
}

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

// freshLines ends what a master that was killed has perhaps not written to its end, where
// our stdout or stderr is a file, so that no line of this one is taken for the rest of it.
// A log file does that itself.
func (l *logs) freshLines() {
	for _, s := range []*sink{l.out, l.err} {
		if f, ok := s.dest.(*os.File); ok {
			if info, err := f.Stat(); err == nil && info.Mode().IsRegular() && endsCut(f.Name(), info.Size()) {
				s.Write(newline)
			}
		}
		if l.out == l.err {
			return
		}
	}
}
