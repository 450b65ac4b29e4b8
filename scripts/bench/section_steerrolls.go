//go:build linux

package main

// rollkinds restarts all workers again and again under each kind of steering.
func (b *bench) rollkinds() error {
	n := b.times(40, 3)
	loads := []load{{clients: rollClients, keep: true, post: true}, {clients: rollClients}}
	for _, kind := range kinds {
		c := b.under(kind, b.bin("demo"), 4, "steering: "+kind)
		if err := b.rollPeer(c, n, loads, true); err != nil {
			return err
		}
	}
	return nil
}
