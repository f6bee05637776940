/** A print format, or an event's data, that cannot be followed: the event is shown field by field instead. Never leaves print/. */
export class Unfollowable extends Error {}
