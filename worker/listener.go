package worker

import "net"

// counted gives ln's connections to t. A listener that is neither TCP nor Unix stays as it is.
func counted(ln net.Listener, t *tally) net.Listener {
	switch ln := ln.(type) {
	case *net.TCPListener:
		return &tcpListener{ln, t}
	case *net.UnixListener:
		return &unixListener{ln, t}
	}
	return ln
}

// tcpListener is a listener whose connections are counted. It has all that *net.TCPListener has.
type tcpListener struct {
	*net.TCPListener
	tally *tally
}

func (l *tcpListener) Accept() (net.Conn, error) {
	c, err := l.TCPListener.AcceptTCP()
	if err != nil {
		return nil, err
	}
	l.tally.accepted()
	return &tcpConn{TCPConn: c, held: held{tally: l.tally}}, nil
}

// AcceptTCP returns a connection that is not followed: it counts as accepted, and weighs nothing.
func (l *tcpListener) AcceptTCP() (*net.TCPConn, error) {
	c, err := l.TCPListener.AcceptTCP()
	if err == nil {
		l.tally.passed()
	}
	return c, err
}

// unixListener is tcpListener for Unix-domain sockets.
type unixListener struct {
	*net.UnixListener
	tally *tally
}

func (l *unixListener) Accept() (net.Conn, error) {
	c, err := l.UnixListener.AcceptUnix()
	if err != nil {
		return nil, err
	}
	l.tally.accepted()
	return &unixConn{UnixConn: c, held: held{tally: l.tally}}, nil
}

// AcceptUnix is to unixListener what AcceptTCP is to tcpListener.
func (l *unixListener) AcceptUnix() (*net.UnixConn, error) {
	c, err := l.UnixListener.AcceptUnix()
	if err == nil {
		l.tally.passed()
	}
	return c, err
}
