package crew

// steer lets only the slots get new connections that the pool has ordered. While an app replaces another one on the same sockets, only
// the old app steers: the new app's workers are not ready, and it may have slots already that the old one lacks.
func (c *Crew) steer(a *App) {
	if c.loop.Yields(a) {
		return // it stays due
	}
	changed, err := a.Steering.Apply(a.Sockets)
	if changed {
		c.estate.Touched(a)
	}
	if err != nil {
		c.logs.Warn().Str("app", a.Name).Ints("slots", a.Steering.Admitted()).Err(err).Msg("cannot steer; the kernel goes on to spread connections over all slots")
	}
}

// steerAtMost bounds the turns of the loop in which an order may wait for others.
const steerAtMost = 256

// SteerInTime steers at the end of a turn, once for all orders that come together: at a start the ready of each worker would change
// it. more: messages wait for the loop, of which some may bring such orders. They delay it for a bounded number of turns.
func (c *Crew) SteerInTime(more bool) {
	if c.unsteered++; more && c.unsteered <= steerAtMost {
		return
	}
	c.SteerAll()
	c.unsteered = 0
}

// SteerAll carries out the orders that wait.
func (c *Crew) SteerAll() {
	for _, a := range c.loop.Apps() {
		if a.Steering.Due() && !a.Ended() {
			c.steer(a)
		}
	}
}
