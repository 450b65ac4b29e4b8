package logs

import (
	"bytes"
	"io"
	"os"
)

// stream returns the writer for our stdout or stderr: w, which is written in whole lines if it is a pipe.
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

// pipeWriter writes whole lines to a pipe, in pieces of at most pipeBuf bytes unless a line is longer. Such a piece is written
// as one or not at all (POSIX, write: PIPE_BUF), so the lines of another process on the same pipe, such as the keeper, come
// between ours, and SIGKILL tears no line.
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
