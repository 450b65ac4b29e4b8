// Package sticky has the requests of one user go to one member, by a cookie that names it.
//
//	request with the cookie ──▶ Stick: Choice.Prefer ──▶ the picker takes that member, if it can
//	answer ──▶ Mark: a cookie that names the member which has answered, where that is another one
//
// # The cookie
//
// Its value is an HMAC-SHA256 of the member's ID, of 128 bits: it tells a client nothing of the member, and a client cannot make one for a
// member that it was not sent to. A value that is not of a member in the table is passed over, as one of a member that is gone is. The
// cookie is HttpOnly and SameSite=Lax, and Secure where the client has come by TLS. Users of members of different types have a cookie for
// each type.
//
// The key of the HMAC is the gateway's secret. Where a config has none, the gateway's workers share one that one of them has made (see
// [Sticky.SetSecrets], which takes the secret of before, too); users get new cookies when that is lost, with the gateway's end.
//
// # When the member cannot take a request
//
//	gone, down, ejected, draining (unless Draining is set), or it failed for this request   another one is picked, and named by a new cookie
//	full                                                                                     another one is picked for this request alone
//
// # Cookie and login
//
// With policy.StickyCookie the first answer sets the cookie. With policy.StickyLogin the answer to the path of the login does, if its
// status is below 400, and the answer to that of the logout deletes it: who has not logged in is sent wherever there is room.
//
// Users that stick by their address or by a key need no cookie: they are picked for by key (policy.Rendezvous), which is another way of
// picking, and nothing of this package.
package sticky
