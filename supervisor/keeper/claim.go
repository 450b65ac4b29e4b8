package keeper

// ClaimName is the name under which the claim is stored. Masters before it was there pass over names that begin so.
const ClaimName = "tcp.claim"

// Reachable tells the keeper where this master, which is to be in charge, can be asked: at the address of its control socket,
// a path or @NAME; empty: it cannot. The keeper tells clients of the claim so.
func (c *Client) Reachable(address string) error { return c.Notify(controlField + "=" + address) }
