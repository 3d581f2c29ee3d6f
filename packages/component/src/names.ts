/** What an app id, a namespace and a resource's name are: a DNS label of RFC 1123, in small letters, 1 to 63 of them. */
export const dnsLabelPattern = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** The same in words, after "must be" or "use". */
export const dnsLabelInWords = '1 to 63 of a-z, 0-9 and "-", beginning and ending with a letter or digit';
