/** What drivers speak, by the versions of the patches of 2016; 2 stands for 2 to 5. */
export const PROTOCOLS = ['1', '2'] as const;
export type Protocol = (typeof PROTOCOLS)[number];
