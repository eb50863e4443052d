// How a browser test of two servers drives this one: one function for each step of a flow, by the hooks of docs/hooks.md
// alone. Written for Cypress; nothing but `cy.get`, `cy.visit` and their like is used, so that it is easily carried over.

const act = (name) => cy.get(`[data-ocm-action="${name}"]`).filter(':visible').first()

/** Types over whatever stands in a field. */
const fill = (selector, text) => cy.get(selector).clear().type(text, { parseSpecialCharSequences: false })

/** Signs in; the page that was asked for comes next, else /home. */
export function login({ url, username, password }) {
  cy.visit(`${url}/login`)
  fill('#name', username)
  fill('#password', password)
  act('sign-in').click()
  cy.location('pathname').should('eq', '/home')
}

// --- share-with -----------------------------------------------------------------------------------------------------

/** Shares a file that is there with `user@host`. */
export function shareWith({ url, path, recipient }) {
  cy.visit(`${url}/shares/new?path=${encodeURIComponent(path)}`)
  cy.get('#contact-0').check()
  fill('#address', recipient)
  act('create-share').click()
  cy.get('#state').should('be.visible')
}

/** Waits until the other server has taken the share: the page says so once its answer has come. */
export function shareIsAnnounced({ tries = 10 } = {}) {
  cy.get('#state').then(($state) => {
    if ($state.find('.badge.bad').length) throw new Error($state.text())
    if ($state.find('.badge.ok, .badge.info').length) return
    if (tries === 0) throw new Error(`not announced: ${$state.text()}`)
    cy.wait(1000)
    cy.reload()
    shareIsAnnounced({ tries: tries - 1 })
  })
}

/** Accepts the share of this name. */
export function acceptShare({ url, name }) {
  cy.visit(`${url}/shares/received`)
  cy.contains('main a[href^="/shares/received/"]', name).click()
  act('accept-share').click()
  act('open-share').should('be.visible')
}

/** Opens what was accepted, and sees a file there. */
export function openShare({ file }) {
  act('open-share').click()
  cy.contains('main a', file).should('be.visible')
}

// --- contact-token --------------------------------------------------------------------------------------------------

/** Makes an invitation; gives its code, as `token@host` in base64. */
export function createInvite({ url, note = 'interoperability' }) {
  cy.visit(`${url}/invites/new`)
  fill('#for', note)
  act('create-invite').click()
  return cy.get('#invite-string').invoke('val')
}

/** Accepts a code, a link, or a whole message. */
export function acceptInvite({ url, text }) {
  cy.visit(`${url}/invites/accept`)
  fill('#text', text)
  act('read-invite').click()
  act('accept-invite').click()
  cy.get('#contact-address').should('be.visible')
}

/** A contact is there. */
export function hasContact({ url, address }) {
  cy.visit(`${url}/contacts`)
  cy.contains('main', address.split('@')[0]).should('be.visible')
}

// --- contact-wayf ---------------------------------------------------------------------------------------------------

/** The link of the invitation that is shown. */
export const inviteLink = () => cy.get('#invite-link').invoke('val')

/** At the inviting server, without an account: names the own one; gives the link that leads there. */
export function chooseServer({ link, server }) {
  cy.visit(link)
  fill('#server', server)
  act('find-server').click()
  return cy.get('#continue').invoke('attr', 'href')
}

/** At the own server, signed in, after that link: agrees. */
export function acceptFromLink({ dialog }) {
  cy.visit(dialog)
  act('accept-invite').click()
  cy.get('#contact-address').should('be.visible')
}
